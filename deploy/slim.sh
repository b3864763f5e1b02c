#!/bin/sh
# slim.sh ENVIRONMENT: takes out of a virtual environment what no image of ours runs. It wants `strip` (binutils).
set -eu
cd "$1"/lib/python3.*/site-packages
find . -type d -name tests -prune -exec rm -r {} +
find . -name '*.cpython-*.so' -exec strip --strip-unneeded {} + # some wheels are nine tenths symbols
rm -f mkdocs_swagger_ui_tag/swagger-ui/*/*.map
rm -rf onnxruntime/transformers onnxruntime/tools onnxruntime/quantization
if [ -d pytriton ]; then # stubs of other Pythons, and the libpython that one of them is linked with
  version=$(basename "$(dirname "$PWD")")
  find pytriton/tritonserver/python_backend_stubs -mindepth 1 -maxdepth 1 ! -name "${version#python}" -exec rm -r {} +
  rm -f nvidia_pytriton.libs/libpython3-*
fi
