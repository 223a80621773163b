"""What the node received, on disk: one file per instance and an append-only log. These files are the truth.

An instance lies under ``<StudyInstanceUID>/<SOPInstanceUID>-<first 16 hex digits of its digest>.dcm``; the digest is
the sha256 of the dataset bytes after the file meta, so that it doesn't depend on who sent it.
"""

from dicom_node.spool.log import Committed, Entry, Position, Received, ReceiveLog, read_log
from dicom_node.spool.names import blob_name, check_uid

__all__ = ["Committed", "Entry", "Position", "ReceiveLog", "Received", "blob_name", "check_uid", "read_log"]
