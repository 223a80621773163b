"""Writers: nouns -> DICOM objects (structured report, segmentation, picture). None knows a pipeline's name."""
