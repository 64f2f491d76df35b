"""Learning without labels: a model teaches its own smaller sizes.

``corpus`` turns texts to token ids, ``sampling`` cuts batches from them, ``student`` is what is trained,
``distill`` is the loop, ``proxies`` measures on texts that were held out, and ``assembly`` writes the result as a
ladder. ``closed_form`` does what can be done by solving instead of training. Everything here needs torch except
``closed_form``, ``corpus`` and ``sampling``.
"""
