"""Raw label synthesis: smoked pictures, instrument masks and relative depth, made from frames and their labels."""
