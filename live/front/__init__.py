"""The dashboard (paper IV-D): a Streamlit application within the web server."""
