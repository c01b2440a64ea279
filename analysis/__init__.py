"""What a trained pair has learned: statistics of its latent sites, pictures and a report.

Everything takes plain arguments: a pair, tensors, numbers. No method is known here.
"""

from .alignment import Alignment, align, alignment_figure
from .animation import traversal_animation
from .charts import bounds_curve, kl_chart, training_curves
from .dci import DCI, dci, score_importance
from .evaluation import Evaluation
from .gallery import gallery, warp_gallery
from .images import data_uri, image_grid, png_bytes, stack_pairs, to_pixels
from .known_sequences import KnownSequences
from .latents import active_units, kl_per_dimension, posterior_means
from .leakage import leakage
from .leakage_figure import leakage_figure
from .leakage_result import Leakage, Probe
from .linear import R2, forest_r2, linear_r2
from .neighbours import Accuracy, knn_accuracy
from .pictures import manifold, prior_samples, reconstructions, traversals
from .recombination import transfer, transfer_figure
from .report import save_figures, write_report
from .sharpness import mean_variance, sharpness
from .warp_figures import deformation_figure, gamma_figure
from .warp_parts import decompose
from .warped import WarpModel, warp_model

__all__ = [
    "DCI",
    "R2",
    "Accuracy",
    "Alignment",
    "Evaluation",
    "KnownSequences",
    "Leakage",
    "Probe",
    "WarpModel",
    "active_units",
    "align",
    "alignment_figure",
    "bounds_curve",
    "data_uri",
    "dci",
    "decompose",
    "deformation_figure",
    "forest_r2",
    "gallery",
    "gamma_figure",
    "image_grid",
    "kl_chart",
    "kl_per_dimension",
    "knn_accuracy",
    "leakage",
    "leakage_figure",
    "linear_r2",
    "manifold",
    "mean_variance",
    "png_bytes",
    "posterior_means",
    "prior_samples",
    "reconstructions",
    "save_figures",
    "score_importance",
    "sharpness",
    "stack_pairs",
    "to_pixels",
    "training_curves",
    "transfer",
    "transfer_figure",
    "traversal_animation",
    "traversals",
    "warp_gallery",
    "warp_model",
    "write_report",
]
