"""How a finding may be said: the codes, the marks by which each is recognised, and the styles that word them."""
