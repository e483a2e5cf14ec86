from .comparison_figure import write_differences_png as write_differences_png
from .report_figures import write_metrics_png as write_metrics_png
from .report_figures import write_overlay_png as write_overlay_png
from .transcription_figure import write_png as write_png
