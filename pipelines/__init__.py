"""Clinical readings, one folder per use. Pure domain logic: no sockets, no database, no DICOM."""
