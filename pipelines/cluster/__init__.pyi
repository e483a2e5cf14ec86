from .transcription_pipeline import FileSystems as FileSystems
from .transcription_pipeline import matching as matching
from .transcription_pipeline import read_report as read_report
from .transcription_pipeline import steps as steps
