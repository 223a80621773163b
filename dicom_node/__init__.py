"""The DICOM edge: network (receive, send, query, commitment), spool, readers and writers of objects.

It knows the nouns of `imaging`, never a pipeline or a model. pydicom, pynetdicom and highdicom have their home here.
"""
