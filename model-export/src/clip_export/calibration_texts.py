"""Ordinary texts of all lengths, for calibrating text encoders beside the prompts of the label sets."""

SUBJECTS = ["a dog", "two old women", "the red bicycle", "an empty street", "some vegetables", "my neighbour's cat"]
PLACES = ["in the rain", "on a wooden table", "under the bridge at night", "near the sea", "in black and white"]
REST = (
    "the light falls from the left, and in the background there are mountains, a lake with small boats, people who "
    "walk along the shore with their children and dogs, a few birds above them, and far away the first houses of a "
    "town whose church tower stands out against an evening sky of orange, pink and grey clouds after a long day"
)

CALIBRATION_TEXTS = [
    *(f"{subject} {place}" for subject in SUBJECTS for place in PLACES),
    *(
        f"a photo of {subject} {place}, {REST[: 40 * i]}"
        for i, (subject, place) in enumerate(zip(SUBJECTS, PLACES, strict=False))
    ),
    *(REST[start : start + 90] for start in range(0, 270, 30)),
    f"{SUBJECTS[1]} {PLACES[2]}: {REST}",
    f"{PLACES[3]} {SUBJECTS[5]}. {REST}. {REST}",
]
