"""Vision transformers, baselines, published weights and ways of fine-tuning."""

from darkarcs.models.catalogue import ModelSpec, list_models, register_model
from darkarcs.models.creation import create_model
from darkarcs.models.finetuning import FineTuning, apply_finetuning, merge_lora
from darkarcs.models.interface import ImageClassifier, ModelOutput
from darkarcs.models.pretrained import LoadReport, load_pretrained
from darkarcs.models.transformer_architecture import TransformerArchitecture
from darkarcs.models.vision_transformer import VisionTransformer

__all__ = [
    "FineTuning",
    "ImageClassifier",
    "LoadReport",
    "ModelOutput",
    "ModelSpec",
    "TransformerArchitecture",
    "VisionTransformer",
    "apply_finetuning",
    "create_model",
    "list_models",
    "load_pretrained",
    "merge_lora",
    "register_model",
]
