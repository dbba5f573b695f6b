"""What a person looks at: the guided quickstart and the Gradio page."""
