"""Small tokenizers of the kinds that other models than CLIP have, trained here, loaded as their libraries load them.

SentencePiece's Unigram with the rules nmt_nfkc, as T5 and SigLIP have it; and its byte-pair encoding with bytes for
what it does not know, as Gemma and SigLIP 2 have it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sentencepiece
from transformers import AutoTokenizer, GemmaTokenizer, PreTrainedTokenizerBase, SiglipTokenizer, T5Tokenizer
from transformers.convert_slow_tokenizer import generate_merges

from ..calibration_texts import CALIBRATION_TEXTS
from ..hard_texts import PLAIN, SCRIPTS, prompts

UNIGRAM_SIZE, BPE_SIZE = 500, 800
OTHERS = [
    *["ein Foto von einer Katze, die auf dem Sofa schläft", "zwei Hunde spielen am Strand", "ein rotes Fahrrad"],
    *["une photo d'un chat sur un canapé", "deux chiens jouent sur la plage", "un vélo rouge près du pont"],
    *["una foto de un gato en el sofá", "dos perros juegan en la playa", "una bicicleta roja"],
    *["фотография кошки на диване", "две собаки играют на пляже", "красный велосипед у моста"],
    *["ソファで寝ている猫の写真", "浜辺で遊ぶ二匹の犬", "橋のそばの赤い自転車", "沙发上的猫的照片", "海滩上的两只狗"],
    *["صورة قطة على الأريكة", "كلبان يلعبان على الشاطئ", "소파 위의 고양이 사진", "सोफे पर बिल्ली की तस्वीर"],
]
GEMMA_PIECES = {"pad_piece": "<pad>", "eos_piece": "<eos>", "bos_piece": "<bos>", "unk_piece": "<unk>"}


def train(folder: Path, name: str, **options: Any) -> Path:
    """A SentencePiece model of these texts, the same every time."""
    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*CALIBRATION_TEXTS, *prompts(), *PLAIN, *SCRIPTS, *OTHERS]),
        model_prefix=str(folder / name),
        character_coverage=0.995,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    (folder / f"{name}.vocab").unlink()
    return folder / f"{name}.model"


def train_unigram(folder: Path) -> Path:
    """With T5's ids: padding 0, end 1, unknown 2."""
    ids = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    return train(folder, "spiece", vocab_size=UNIGRAM_SIZE, normalization_rule_name="nmt_nfkc", **ids)


def save_siglip(folder: Path) -> Path:
    """As Hugging Face's SigLIP: padded with the token that ends texts."""
    SiglipTokenizer(str(train_unigram(folder))).save_pretrained(folder)
    return folder


def save_t5(folder: Path) -> Path:
    """As timm's SigLIP for open_clip."""
    train_unigram(folder)
    T5Tokenizer.from_pretrained(folder, extra_ids=0, pad_token="</s>").save_pretrained(folder)
    return folder


def save_gemma(folder: Path) -> Path:
    """As SigLIP 2: no token before a text, one behind it."""
    model = train(
        folder,
        "gemma",
        model_type="bpe",
        vocab_size=BPE_SIZE,
        normalization_rule_name="identity",
        byte_fallback=True,
        split_digits=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        user_defined_symbols=["<mask>"],
        **GEMMA_PIECES,
        **{"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3},
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
    scores = [(pieces.id_to_piece(id), pieces.get_score(id)) for id in range(len(pieces))]
    vocabulary = {piece: id for id, (piece, _) in enumerate(scores)}
    tokenizer = GemmaTokenizer(
        vocab=vocabulary,
        merges=generate_merges(vocabulary, scores),
        add_bos_token=False,
        add_eos_token=True,
        padding_side="right",
    )
    tokenizer.save_pretrained(folder)
    model.unlink()
    return folder


def load(folder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(folder)
