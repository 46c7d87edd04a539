// Runs face-api's own FaceExpressionNet, as its package ships it, with TensorFlow.js' plain JavaScript backend:
//     node original_expression.cjs PACKAGE_FOLDER FACES COUNT
// FACES holds COUNT pictures of 112 × 112 × 3 bytes; prints the probabilities of each as JSON.
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const [, , folder, faces, count] = process.argv;

// The bundle is made for browsers: it is run where neither a page nor Node can be seen, and told what it needs.
const context = vm.createContext({ console, setTimeout, clearTimeout, performance, TextEncoder, TextDecoder, fetch, URL });
vm.runInContext('var globalThis = this; var global = this;', context);
vm.runInContext(fs.readFileSync(path.join(folder, 'dist/face-api.js'), 'utf8'), context);
const { faceapi } = context;
const { tf } = faceapi;

async function main() {
  tf.env().setPlatform('node', {
    fetch,
    now: () => performance.now(),
    encode: (text) => new TextEncoder().encode(text),
    decode: (bytes, encoding) => new TextDecoder(encoding).decode(bytes),
    isTypedArray: ArrayBuffer.isView,
  });
  await tf.setBackend('cpu');
  await tf.ready();
  const None = class {};
  faceapi.env.setEnv({
    Canvas: None, CanvasRenderingContext2D: None, Image: None, ImageData: None, Video: None,
    createCanvasElement: () => new None(), createImageElement: () => new None(), createVideoElement: () => new None(),
    fetch, readFile: async () => null,
  });
  const stem = path.join(folder, 'model/face_expression_model');
  const manifest = JSON.parse(fs.readFileSync(`${stem}-weights_manifest.json`));
  const content = new Uint8Array(fs.readFileSync(`${stem}.bin`)).buffer;
  const net = new faceapi.FaceExpressionNet();
  net.loadFromWeightMap(tf.io.decodeWeights(content, manifest[0].weights));
  const pictures = tf.tensor4d(new Float32Array(fs.readFileSync(faces)), [Number(count), 112, 112, 3]);
  const probabilities = [];
  for (let i = 0; i < Number(count); i += 1) {
    const output = await net.forward(tf.slice(pictures, [i, 0, 0, 0], [1, 112, 112, 3]));
    probabilities.push(Array.from(await output.data()));
  }
  console.log(JSON.stringify(probabilities));
}

main().catch((error) => {
  console.error(String(error.stack).slice(0, 2000));
  process.exit(1);
});
