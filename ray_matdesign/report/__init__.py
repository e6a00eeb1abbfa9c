"""Reports and exports; reads run directories only."""

from ray_matdesign.report.exports import ExportError, check_export, export_hits
from ray_matdesign.report.page import build_report
from ray_matdesign.report.png import learning_curve_png
from ray_matdesign.report.run_data import RunDirectoryError
from ray_matdesign.report.sweep_page import build_sweep_report

__all__ = [
    "ExportError",
    "RunDirectoryError",
    "build_report",
    "build_sweep_report",
    "check_export",
    "export_hits",
    "learning_curve_png",
]
