"""What a trained pair has learned: statistics of its latent sites, pictures and a report.

Everything takes plain arguments: a pair, tensors, numbers. No method is known here.
"""

from .charts import bounds_curve, kl_chart, training_curves
from .evaluation import Evaluation
from .gallery import gallery
from .images import data_uri, image_grid, png_bytes, stack_pairs, to_pixels
from .latents import active_units, kl_per_dimension, posterior_means
from .neighbours import Accuracy, knn_accuracy
from .pictures import manifold, prior_samples, reconstructions, traversals
from .report import save_figures, write_report
from .warp_parts import decompose
from .warped import WarpModel, warp_model

__all__ = [
    "Accuracy",
    "Evaluation",
    "WarpModel",
    "active_units",
    "bounds_curve",
    "data_uri",
    "decompose",
    "gallery",
    "image_grid",
    "kl_chart",
    "kl_per_dimension",
    "knn_accuracy",
    "manifold",
    "png_bytes",
    "posterior_means",
    "prior_samples",
    "reconstructions",
    "save_figures",
    "stack_pairs",
    "to_pixels",
    "training_curves",
    "traversals",
    "warp_model",
    "write_report",
]
