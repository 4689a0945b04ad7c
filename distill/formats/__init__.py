"""Ways in and out of traces as files, a module for each format; `find` tells formats apart. No SQL, no HTTP."""
