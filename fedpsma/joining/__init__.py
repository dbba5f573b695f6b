"""What a site and a coordinator hand each other before they talk: keys, request, bundle; and what they sign after."""
