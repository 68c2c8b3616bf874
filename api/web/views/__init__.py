"""What pages show: values from services turned into values that templates only print."""
