"""How good a parse is: the corpus with known truth, the scores and the gates."""
