from .client import remote_transcriber as remote_transcriber
