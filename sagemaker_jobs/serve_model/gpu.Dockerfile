# Image of endpoints on hosts with a GPU; it serves one model package.
# torch and onnxruntime-gpu of uv.lock are built for CUDA 13 and bring its libraries along. The base adds
# NVIDIA's variables, and the libraries that run CUDA 13 on hosts with an older driver.
FROM nvidia/cuda:13.0.2-base-ubuntu24.04 AS base
# GDAL, as it comes with rasterio, takes expat from the system.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libexpat1 python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    PROJ_NETWORK=OFF

FROM base AS uv
RUN pip install --no-cache-dir uv==0.13.8
WORKDIR /build
COPY pyproject.toml uv.lock ./
# torch and CUDA's libraries, most of the image, are a layer of their own, and the same in every image
# for a GPU: down to there the Dockerfiles are equal, so that it is built, uploaded and kept once.
RUN uv export --quiet --frozen --no-default-groups --extra torch --no-emit-project -o /opt/torch.txt

FROM uv AS packages
RUN uv export --quiet --frozen --no-default-groups --extra serve-model --extra infer-shard-gpu --no-emit-project -o /opt/packages.txt

FROM base
WORKDIR /opt/swath
RUN --mount=from=uv,source=/opt,target=/build \
    /build/venv/bin/uv pip install --no-cache --compile-bytecode --python /opt/venv -r /build/torch.txt
RUN --mount=from=packages,source=/opt,target=/build \
    /build/venv/bin/uv pip install --no-cache --compile-bytecode --python /opt/venv -r /build/packages.txt
COPY src/swath swath
COPY sagemaker_jobs/serve_model sagemaker_jobs/serve_model
RUN python -m compileall -q swath sagemaker_jobs \
    # An import error fails the build here, not the creation of an endpoint.
    && python -c "import sagemaker_jobs.serve_model.__main__"
EXPOSE 8080
# SageMaker adds the argument `serve`, sends SIGTERM to this process, and expects it to run as root.
# https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
ENTRYPOINT ["python", "-m", "sagemaker_jobs.serve_model"]
