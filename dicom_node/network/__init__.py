"""DICOM over the network: the storage SCP, and sending, querying, storage commitment and verification as SCU."""
