"""Images per second into the node, beside Orthanc and dcmtk's storescp."""
