"""What a trained pair has learned: statistics of its latent sites, pictures and a report.

Everything takes plain arguments: a pair, tensors, numbers. No method is known here.
"""

from .advice import advice, proposal_words
from .aggregate_posterior import aggregate_posterior_figure
from .alignment import Alignment, align, alignment_figure
from .animation import traversal_animation
from .beta_vae_score import BetaVAEScore, beta_vae_score, beta_vae_score_of_encoder
from .blurring import blurred
from .calibration_figure import calibration_figure
from .calibration_words import Verdict, calibration_verdicts, site_words
from .charts import bounds_curve, kl_chart, training_curves
from .clips import clip_reconstructions
from .code_factor_figure import CodeFactors, code_factor_figure, code_factors
from .code_features import CodeFeatures, train_code_features
from .code_gallery import code_gallery
from .code_swaps import swap_codes, swap_grid
from .comparison import Compared, Comparison, Difference, JudgedRun, compare
from .comparison_formats import (
    comparison_csv,
    comparison_latex,
    comparison_text,
    comparison_values,
)
from .comparison_report import comparison_chart, comparison_page
from .completion_figure import completion_figure
from .condition_probe import ToldCondition, told_condition
from .conditional import (
    completions,
    conditional_grid,
    sample_conditional,
    shared_codes,
    style_transfer,
)
from .dci import DCI, dci, score_importance
from .dynamic_manifold import dynamic_manifold
from .evaluation import Evaluation, told_scores
from .explicitness import Explicitness, explicitness
from .factor_vae_score import FactorVAEScore, factor_vae_score, factor_vae_score_of_encoder
from .fairness import AttributeProbe, Fairness, attribute_probe, fairness
from .feature_distance import (
    KernelDistance,
    frechet_distance,
    frechet_distance_of_moments,
    kernel_distance,
)
from .film import film_path
from .frames_between import frames_between
from .gallery import gallery, warp_gallery
from .gaussian_dependence import GaussianDependence, dependence_of_covariance, gaussian_dependence
from .generation_scores import GenerationScores, generation_scores
from .graph_figure import graph_figure
from .hook_curves import hook_curves
from .image_quality import psnr, ssim
from .images import data_uri, image_grid, png_bytes, stack_pairs, to_pixels
from .interpolation import interpolation
from .irs import IRS, irs
from .judge import Judge, load_judge
from .judge_training import train_judge
from .judges import Judged, SwapConsistency, kept_accuracy, swap_consistency
from .known_sequences import KnownSequences
from .latent_scatter import latent_scatter
from .latents import active_units, kl_per_dimension, posterior_means, posterior_moments
from .leakage import leakage
from .leakage_figure import leakage_figure
from .leakage_result import Leakage, Probe
from .linear import R2, forest_r2, linear_r2
from .mcc import MCC, mcc
from .metric_set import ScoreSet, disentanglement_scores
from .mig import MIG, mig_of_means, mig_of_posteriors
from .model_card import write_model_card
from .model_graph import Node, model_graph
from .modularity import Modularity, modularity, score_modularity
from .neighbours import Accuracy, knn_accuracy
from .new_sequences import new_frames, new_identities
from .passes import NoSamplesError
from .pictures import manifold, prior_samples, reconstructions, traversals
from .posterior_draws import posterior
from .posterior_ellipses import posterior_ellipses
from .predicted import predicted_classes
from .predicted_clips import PredictedClips, predict_clips
from .prediction_figures import horizon_figure, prediction_animation, prediction_figure
from .prior_figure import prior_figure
from .recombination import transfer, transfer_figure
from .report import save_figures, write_report
from .roll_out import PoseRollOut, check_predictor, predict
from .sample_quality import SampleQuality, sample_quality
from .sap import SAP, sap
from .searched_codes import SearchedCodes, search_codes
from .sequence_codes import SequenceCodes, SequenceSites, sequence_codes
from .sequence_decoding import (
    Moments,
    SampledFrames,
    decode_frames,
    prior_of_dynamic,
    sample_frames,
    sample_static,
)
from .sequence_gallery import sequence_gallery, sequence_sites
from .sequence_neighbours import nearest_frames, nearest_neighbours, nearest_sequences
from .sharpness import mean_variance, sharpness
from .shortcut import ReferenceConsistency, SwapChange, reference_consistency, swap_change
from .site_codes import SiteCodes, site_codes
from .swap_recovery import Distance, SwapRecovery, swap_recovery
from .swaps import swap_animation, swap_figure, swap_frames
from .trajectory import trajectory_figure
from .turning import (
    RotationErrors,
    rotation_errors,
    turn_animation,
    turn_figure,
    turned,
)
from .udr import UDR, udr
from .warp_figures import deformation_figure, gamma_figure
from .warp_parts import decompose
from .warped import WarpModel, warp_model

__all__ = [
    "DCI",
    "IRS",
    "MCC",
    "MIG",
    "R2",
    "SAP",
    "UDR",
    "Accuracy",
    "Alignment",
    "AttributeProbe",
    "BetaVAEScore",
    "CodeFactors",
    "CodeFeatures",
    "Compared",
    "Comparison",
    "Difference",
    "Distance",
    "Evaluation",
    "Explicitness",
    "FactorVAEScore",
    "Fairness",
    "GaussianDependence",
    "GenerationScores",
    "Judge",
    "Judged",
    "JudgedRun",
    "KernelDistance",
    "KnownSequences",
    "Leakage",
    "Modularity",
    "Moments",
    "NoSamplesError",
    "Node",
    "PoseRollOut",
    "PredictedClips",
    "Probe",
    "ReferenceConsistency",
    "RotationErrors",
    "SampleQuality",
    "SampledFrames",
    "ScoreSet",
    "SearchedCodes",
    "SequenceCodes",
    "SequenceSites",
    "SiteCodes",
    "SwapChange",
    "SwapConsistency",
    "SwapRecovery",
    "ToldCondition",
    "Verdict",
    "WarpModel",
    "active_units",
    "advice",
    "aggregate_posterior_figure",
    "align",
    "alignment_figure",
    "attribute_probe",
    "beta_vae_score",
    "beta_vae_score_of_encoder",
    "blurred",
    "bounds_curve",
    "calibration_figure",
    "calibration_verdicts",
    "check_predictor",
    "clip_reconstructions",
    "code_factor_figure",
    "code_factors",
    "code_gallery",
    "compare",
    "comparison_chart",
    "comparison_csv",
    "comparison_latex",
    "comparison_page",
    "comparison_text",
    "comparison_values",
    "completion_figure",
    "completions",
    "conditional_grid",
    "data_uri",
    "dci",
    "decode_frames",
    "decompose",
    "deformation_figure",
    "dependence_of_covariance",
    "disentanglement_scores",
    "dynamic_manifold",
    "explicitness",
    "factor_vae_score",
    "factor_vae_score_of_encoder",
    "fairness",
    "film_path",
    "forest_r2",
    "frames_between",
    "frechet_distance",
    "frechet_distance_of_moments",
    "gallery",
    "gamma_figure",
    "gaussian_dependence",
    "generation_scores",
    "graph_figure",
    "hook_curves",
    "horizon_figure",
    "image_grid",
    "interpolation",
    "irs",
    "kept_accuracy",
    "kernel_distance",
    "kl_chart",
    "kl_per_dimension",
    "knn_accuracy",
    "latent_scatter",
    "leakage",
    "leakage_figure",
    "linear_r2",
    "load_judge",
    "manifold",
    "mcc",
    "mean_variance",
    "mig_of_means",
    "mig_of_posteriors",
    "model_graph",
    "modularity",
    "nearest_frames",
    "nearest_neighbours",
    "nearest_sequences",
    "new_frames",
    "new_identities",
    "png_bytes",
    "posterior",
    "posterior_ellipses",
    "posterior_means",
    "posterior_moments",
    "predict",
    "predict_clips",
    "predicted_classes",
    "prediction_animation",
    "prediction_figure",
    "prior_figure",
    "prior_of_dynamic",
    "prior_samples",
    "proposal_words",
    "psnr",
    "reconstructions",
    "reference_consistency",
    "rotation_errors",
    "sample_conditional",
    "sample_frames",
    "sample_quality",
    "sample_static",
    "sap",
    "save_figures",
    "score_importance",
    "score_modularity",
    "search_codes",
    "sequence_codes",
    "sequence_gallery",
    "sequence_sites",
    "shared_codes",
    "sharpness",
    "site_codes",
    "site_words",
    "ssim",
    "stack_pairs",
    "style_transfer",
    "swap_animation",
    "swap_change",
    "swap_codes",
    "swap_consistency",
    "swap_figure",
    "swap_frames",
    "swap_grid",
    "swap_recovery",
    "to_pixels",
    "told_condition",
    "told_scores",
    "train_code_features",
    "train_judge",
    "training_curves",
    "trajectory_figure",
    "transfer",
    "transfer_figure",
    "traversal_animation",
    "traversals",
    "turn_animation",
    "turn_figure",
    "turned",
    "udr",
    "warp_gallery",
    "warp_model",
    "write_model_card",
    "write_report",
]
