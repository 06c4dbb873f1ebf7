"""
The soak: the executor is killed, cut off and lied to a thousand times, and afterwards four witnesses are compared.

Separate processes play: PostgreSQL, Valkey and a paper Kite of the run's own, two executors (one leads, one stands by),
a publisher, and an operator who turns auto-trading on again. One process, the zygote, has everything imported and forks
the others, so that a killed executor is back at once. Half of the kills strike at named points of the path, chosen from
the seed; half strike after a while, also drawn from the seed. What the witnesses say is reckoned here with plain SQL
and from the paper Kite's journal, and not with the code that is being judged.
"""
