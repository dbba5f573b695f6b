"""What a site should know of its data set before it joins a federation."""
