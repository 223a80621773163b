"""The lung data sets: nodules of LIDC-IDRI, their readers, whole scans, 2-D candidates, one fold table."""
