"""Tiny random encoders, saved as folders the way Hugging Face saves them."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

WORDS = [f"w{number}" for number in range(40)]
LIMIT = 16
KINDS = {
    "bert": (BertConfig, BertModel, LIMIT),
    "roberta": (RobertaConfig, RobertaModel, LIMIT + 2),  # its positions count from the padding's index + 1
    "mpnet": (MPNetConfig, MPNetModel, LIMIT + 2),
}


def build_encoder(kind: str, folder: Path, layers: int = 4, **saving: object) -> Path:
    """Save a random encoder, dropout on in its configuration, and its word tokenizer."""
    vocabulary = {word: i for i, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.enable_padding(length=LIMIT, pad_id=1, pad_token="<pad>")  # as MiniLM's file asks for, wrongly
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", cls_token="<s>", sep_token="</s>"
    ).save_pretrained(folder)
    make_config, make_model, positions = KINDS[kind]
    config = make_config(
        vocab_size=len(vocabulary),
        hidden_size=12,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=positions,
        hidden_dropout_prob=0.5,
        attention_probs_dropout_prob=0.5,
        pad_token_id=1,
        initializer_range=0.5,
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        make_model(config).save_pretrained(folder, **saving)
    return folder
