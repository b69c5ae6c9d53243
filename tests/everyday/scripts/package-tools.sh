# package tools
# needs: dpkg apt-cache
dpkg -l bash dash | tail -2
dpkg -L bash | head -3
dpkg -S /bin/bash
apt-cache policy bash | head -1
dpkg --compare-versions 1.0 lt 1.1 && echo older
