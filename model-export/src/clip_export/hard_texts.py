"""Texts that tokenizers get wrong, prompts as people write them, and seeded nonsense. No lone surrogates: JSON and
UTF-8 have none, and the reference cannot encode them."""

from __future__ import annotations

import html.entities
import random

PLAIN = [
    *["", " ", "\t\n", "cat", "Cat", "CAT", "a photo of a cat.", "  many   blanks\tand\nlines  ", "don't", "DON'T"],
    *["it's we're you've I'm he'll she'd", "'s", "''s", "s's'", "'T 'RE 'VE 'LL 'D 'M", "rock'n'roll in the 1920s"],
    *["St. Bernard", "jack-o'-lantern", "German short-haired pointer", "Crock Pot", "baluster / handrail"],
    *["T-shirt, jersey", "Granny Smith (apple)", "black-and-white photo", "a bad photo of the\nlaptop", "3D-printed"],
    *["AT&T R&D", "C++ C# .NET", "50% $100 €50 £20 ¥10", "3.14159 1,000,000", "1st 2nd 3rd", "a1b2c3", "x_y_z"],
    *["--- *** ///", "!!!???", "...", "(parens) [brackets] {braces}", '"quoted"', "\\n \\t", "`ticks` ~ ^ |"],
    *["http://example.com/?q=1&b=2#frag", "user@example.com", "#hashtag @mention", ":-) ;-) <3", "{}", "100 %"],
    *["supercalifragilisticexpialidocious", "pneumonoultramicroscopicsilicovolcanoconiosis", "aaaaaaaaaaaaaaaaaaaa"],
]
SCRIPTS = [
    *["a photo of a café", "cafe\u0301", "naïve Zürich façade", "Straße GROSSE STRASSE", "ẞ ß ſ", "İstanbul ıI"],
    *["ΣΑΣ ΟΔΥΣΣΕΥΣ", "Σ", "ΑΣ.", "привет мир", "ПРИВЕТ", "Їжак", "مرحبا بالعالم", "שלום עולם", "नमस्ते दुनिया"],
    *[
        "สวัสดีชาวโลก",
        "你好，世界",
        "日本語のテキスト、テスト。",
        "한국어 텍스트",
        "ｶﾀｶﾅ",
        "中文English混排123",
        "a photo of a 犬",
    ],
    *["Tiếng Việt", "Đà Nẵng", "ᏣᎳᎩ ꮳ", "ქართული", "Հայերեն", "አማርኛ", "தமிழ்", "ไก่", "𐍈 𒀀 𓀀", "𝓯𝓪𝓷𝓬𝔂 𝔉𝔯𝔞𝔨"],
    *["٣٤٥ १२३", "½ ⅓ ² ³ Ⅷ ①", "ǅ titlecase Ǆ", "K Å (kelvin, angstrom)", "Ω Ω", "ŉ ǰ ΐ", "ᾳ ᾼ", "l·l"],
]
MARKS = [
    *["combining a\u0308\u0323", "a\u0323\u0308", "a\u0300\u0301\u0302\u0303", "I\u0307", "a\u0345b", "\u0301 alone"],
    *["e\u0301\u200dx", "soft\u00adhyphen", "zero\u200bwidth", "zwj\u200djoin", "bom\ufeffhere", "\ufeffbom"],
    *["nbsp\u00a0here", "em\u2003space thin\u2009space", "ideographic\u3000space", "nel\u0085x", "a\u2028b\u2029c"],
    *["fs\x1cgs\x1drs\x1eus\x1fx", "nul\x00x\x07bell\x7f", "vt\x0bff\x0cx", "cr\rlf\ncrlf\r\n", "\x1b[31mred\x1b[0m"],
    *["\x1b[1;4Hmove", "\u202eRTL override\u202c", "\u206aold\u206f", "\ufff9note\ufffb", "\u2060word joiner"],
]
SYMBOLS = [
    *["😀", "😀😃😄 👍🏽 👨‍👩‍👧‍👦 🇫🇷 ❤️", "a😀b", "☃ ❄ ☀️", "\U0001f9ff\U0001fae0", "→ ← ↑ ∞ ≠ ≤", "™ ® © ℃ №", "㈱ ㍿"],
    *["“curly” ‘quotes’", "don’t", "O'Reilly’s", "rock ’n’ roll", "„low‟ ‚low‛", "«guillemets»", "´`ˊ ʼ", "–—‐ −"],
    *[
        "…",
        "ﬁne ﬂower oﬃce",
        "ﬀ ﬃ ﬄ ﬅ ﬆ",
        "ĳ Ǳ ǲ ǳ",
        "ＬＯＵＤ　ＮＯＩＳＥＳ",
        "１２３ ４５６",
        "ＡＢＣｄｅｆ！",
        "￥￦￠",
        "Ⓐⓑ ㊙",
    ],
    *["ﷺ", "٪", "¿qué? ¡sí!", "a•b·c", "5′ 6″", "x²+y²=z²", "œ Œ æ Æ", "№1", "\ufb1d\ufb4f"],
]
ENTITIES = [
    *[
        "text with &amp; entity",
        "&lt;b&gt;bold&lt;/b&gt;",
        "&amp;amp;lt;",
        "&amp;amp;amp;amp;lt;",
        "&copy 2024 &nbsp; x",
    ],
    *["&hellip;&mdash;&rsquo;", "&#39;s &#x27;s &#8217;t", "&#X41;&#65", "&notanentity; &", "&notit; &not", "&ampamp;"],
    *["&lt &gt &quot &amp", "&eacute;&Eacute;&EACUTE;", "&OUML;&SZLIG;&NTILDE;", "&semi;&excl;", "&NotEqualTilde;"],
    *[
        "&fjlig; &ngE; &bne;",
        "&#0; &#xD800; &#1114112; &#128;",
        "&#x80;&#x9f;&#129;",
        "&#1;&#11;&#31;&#127;",
        "&#xfdd0;",
    ],
    *["&#xffff;&#x1fffe;", "&#;&#x;&#xg;", "&#99999999999999999999;", "&#00065;", "&#x1F600;", "&#55357;&#56832;"],
    *["<b>&amp;amp;amp;lt;</b>", "<p>\n&amp;amp;amp;lt;", "&amp;amp;amp;lt;\n<p>", "<html><body>hi</body></html>"],
    *[
        "&AMP;&LT;&GT",
        "&aacute&Aacute",
        "&frac12x",
        "&abcdefghijklmnopqrstuvwxyzabcdef;",
        "&CounterClockwiseContourIntegral;",
    ],
]
SPECIAL = [
    *["<|startoftext|> injected <|endoftext|>", "<|STARTOFTEXT|>", "<|endoftext|>s", "a<|endoftext|>b", "<|endoftext"],
    *["<start_of_text> injected <end_of_text>", "&lt;|endoftext|&gt;", "a <|endoftext|> photo of a cat"],
]
LONG = [
    *["x" * 200, "ab " * 150, "word " * 74, "word " * 75, "word " * 76, "word " * 300, "😀" * 100, "日本語" * 60],
    *["the quick brown fox jumps over the lazy dog. " * 30, "a,b,c," * 60, "1234567890" * 20, "a" * 5000],
]
MOJIBAKE = [
    *["donâ€™t", "Ã©tÃ© Ã  la plage", "schÃ¶n", "â€œquotedâ€\x9d", "ÃƒÂ©", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "naÃ¯ve cafÃ©", "â˜ƒ"],
    *["ä½ å¥½", "l’humanitÃ©", "rÃ©flexion", "voilÃ le travail"],
]
NOUNS = """
abacus, academic gown, acorn, african bush elephant, albatross, barn, barrel, bell pepper, bow tie, cable car, candle,
chimpanzee, cliff dwelling, comic book, dragonfly, egyptian mau, espresso, go-kart, goldfish, hourglass,
ice cream, iPod, jack-o'-lantern, king penguin, ladybug, military uniform, miniskirt, monarch butterfly, orange,
parking meter, pizza, refrigerator, school bus, snail, sombrero, space heater, teapot, teddy bear, trilobite,
Yorkshire Terrier
"""
PROMPTS = ["a photo of a {}.", "itap of my {}.", "a bad photo of the {}.", "a {} in a video game.", "the plastic {}."]

# stretches of Unicode whose characters are old enough for every engine to agree on them
STRETCHES = [
    *[(0x20, 0x7F)] * 4,
    *[(0x00, 0x20), (0x7F, 0xA0), (0xA0, 0x180), (0x180, 0x250), (0x300, 0x370), (0x391, 0x3CA), (0x400, 0x530)],
    *[(0x5D0, 0x5EB), (0x620, 0x64B), (0x905, 0x93A), (0xE01, 0xE3B), (0x1E00, 0x1F00), (0x2000, 0x2070)],
    *[(0x20A0, 0x20B0), (0x2100, 0x2180), (0x2200, 0x2300), (0x2460, 0x2500), (0x2600, 0x2700), (0x3000, 0x3040)],
    *[(0x3041, 0x3097), (0x4E00, 0x5200), (0xAC00, 0xAE00), (0xFB00, 0xFB07), (0xFF01, 0xFFBF), (0x1D400, 0x1D455)],
    *[(0x1F300, 0x1F600)],
]


def prompts() -> list[str]:
    nouns = [noun.strip() for noun in NOUNS.replace("\n", " ").split(",")]
    return [template.replace("{}", noun) for template in PROMPTS for noun in nouns]


def nonsense(count: int = 300) -> list[str]:
    """Seeded strings: a third of them built of HTML references, the others of up to three stretches of Unicode."""
    rng = random.Random(7)
    names = sorted(html.entities.html5)
    texts = []
    for index in range(count):
        if index % 3 == 0:
            named = [f"&{rng.choice(names)}{rng.choice(['', ' ', 'x', ';'])}" for _ in range(rng.randint(1, 3))]
            number = rng.choice([rng.randint(0, 300), rng.randint(0, 0x110010)])
            numeric = rng.choice([f"&#{number}", f"&#x{number:x}", f"&#X{number:X}"]) + rng.choice([";", "", " "])
            texts.append(rng.choice(["", "a ", "&"]) + "".join(named) + numeric)
        else:
            stretches = [rng.choice(STRETCHES) for _ in range(rng.randint(1, 3))]
            chosen = [rng.choice(stretches) for _ in range(rng.randint(1, 30))]
            texts.append("".join(" " if rng.random() < 0.15 else chr(rng.randrange(*stretch)) for stretch in chosen))
    return texts


def curated() -> list[str]:
    return [*PLAIN, *SCRIPTS, *MARKS, *SYMBOLS, *ENTITIES, *SPECIAL, *LONG]
