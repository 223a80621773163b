"""The lung data sets: nodules of LIDC-IDRI, their readers, whole scans, 2-D candidates, and one fold table for all."""
