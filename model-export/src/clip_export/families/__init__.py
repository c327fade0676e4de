"""One small checkpoint of each family of models, as its library saves it, exported to each runtime, and what the
library itself makes of pictures and texts: `npm run families` compares the Worker's answers with that."""
