"""PISE, Person Image Synthesis and Editing with a decoupled GAN."""
