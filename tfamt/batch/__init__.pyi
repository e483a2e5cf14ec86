from .file_batch import transcribe_files as transcribe_files
from .options import FileResult as FileResult
from .options import ModelSource as ModelSource
from .options import OutputOptions as OutputOptions
from .stream_batch import transcribe_stream as transcribe_stream
