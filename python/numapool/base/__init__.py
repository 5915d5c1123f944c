"""What every part needs: errors, arguments, units, warnings."""
