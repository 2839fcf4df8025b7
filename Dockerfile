# The command line in a container, for who has no Python:
#
#     docker build -t scaleout-cfn .
#     docker run --rm -v "$PWD:/work" scaleout-cfn render
#
# What talks to AWS gets the credentials of the one who runs it: -e AWS_PROFILE -v ~/.aws:/home/scaleout/.aws:ro
FROM python:3.13-slim-bookworm

COPY . /src
RUN pip install --no-cache-dir '/src[local,plots]' && rm -rf /src && useradd --create-home scaleout
USER scaleout
WORKDIR /work
ENTRYPOINT ["scaleout-cfn"]
CMD ["--help"]
