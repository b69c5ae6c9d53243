"""Address spaces: areas, translation and faults, copies, what backs pages, journals and histories of snapshots."""
