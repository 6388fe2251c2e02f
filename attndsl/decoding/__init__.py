"""From logits to tokens, one (`sampling`) or a whole sequence (`sequences`): greedy, sampled, by beam search.

Given a function that says the logits of what comes next; gives token numbers. It knows no model, no backend and no
objective.
"""
