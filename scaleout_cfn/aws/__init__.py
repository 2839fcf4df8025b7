"""AWS as the rest sees it: clients, how often they ask, and what its errors mean."""
