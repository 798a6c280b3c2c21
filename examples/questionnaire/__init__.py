"""An example of signals: the pages of a form arrive in any order, and steps follow from them."""
