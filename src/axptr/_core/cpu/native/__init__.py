"""The host's own CPU: guests run in a confined process of their own, the stub, natively."""
