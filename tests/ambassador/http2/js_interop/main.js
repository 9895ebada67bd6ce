// The interop tests of gRPC (grpc: doc/interop-test-descriptions.md) with grpc-js, as server and as client:
//
//     node main.js server PORT
//     node main.js client PORT
//
// Messages are bytes here, as in the Go program, so that no generated code is needed.
"use strict";

const assert = require("assert");
const grpc = require("@grpc/grpc-js");

const SERVICE = "/grpc.testing.TestService/";
const INITIAL = "x-grpc-test-echo-initial";
const TRAILING = "x-grpc-test-echo-trailing-bin";
const same = (bytes) => bytes;

// -- messages --------------------------------------------------------------------------------------------------------

function varint(value) {
  const out = [];
  for (; value >= 128; value = Math.floor(value / 128)) out.push((value % 128) + 128);
  return Buffer.from([...out, value]);
}

const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const text = (field, value) => Buffer.concat([varint((field << 3) | 2), varint(value.length), value]);
const payload = (field, size) => text(field, text(2, Buffer.alloc(size)));
const asking = (size, body, pause) =>
  Buffer.concat([text(2, Buffer.concat([number(1, size), number(2, pause || 0)])), payload(3, body)]);

/** Return a list of [field, number or bytes]. */
function fields(message) {
  const found = [];
  let at = 0;
  const next = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++];
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = next();
    const value = next();
    found.push([key >> 3, (key & 7) === 2 ? message.subarray(at, (at += value)) : value]);
  }
  return found;
}

const all = (message, field) => fields(message).filter(([key]) => key === field).map(([, value]) => value);
const first = (message, field, otherwise) => all(message, field)[0] ?? otherwise;
const nothing = Buffer.alloc(0);
const sizeOf = (response) => first(first(response, 1, nothing), 2, nothing).length;

// -- the server ------------------------------------------------------------------------------------------------------

/** Return the trailers that the caller asks for, and send the initial metadata that it asks for. */
function echo(call) {
  const trailers = new grpc.Metadata();
  for (const value of call.metadata.get(TRAILING)) trailers.add(TRAILING, value);
  const [initial] = call.metadata.get(INITIAL);
  if (initial !== undefined) {
    const head = new grpc.Metadata();
    head.add(INITIAL, initial);
    call.sendMetadata(head);
  }
  return trailers;
}

function error(message, metadata) {
  const status = first(message, 7);
  return status && { code: first(status, 1, 0), details: first(status, 2, nothing).toString(), metadata };
}

async function answer(call, message) {
  for (const parameters of all(message, 2)) {
    await new Promise((go) => setTimeout(go, first(parameters, 2, 0) / 1000));
    if (call.cancelled) return;
    call.write(payload(1, first(parameters, 1, 0)));
  }
}

const HANDLERS = {
  EmptyCall: ["unary", (call, done) => done(null, nothing, echo(call))],
  UnaryCall: [
    "unary",
    (call, done) => {
      const trailers = echo(call);
      const failed = error(call.request, trailers);
      if (failed) done(failed);
      else done(null, payload(1, first(call.request, 2, 0)), trailers);
    },
  ],
  StreamingOutputCall: ["serverStream", async (call) => (await answer(call, call.request), call.end())],
  StreamingInputCall: [
    "clientStream",
    (call, done) => {
      let sum = 0;
      call.on("data", (message) => (sum += sizeOf(message)));
      call.on("end", () => done(null, number(1, sum)));
    },
  ],
  FullDuplexCall: [
    "bidi",
    (call) => {
      const trailers = echo(call);
      let turn = Promise.resolve();
      call.on("data", (message) => {
        turn = turn.then(() => answer(call, message));
        const failed = error(message, trailers);
        if (failed) turn = turn.then(() => call.emit("error", failed));
      });
      call.on("end", () => turn.then(() => call.end(trailers)));
    },
  ],
};

function serve(port) {
  const server = new grpc.Server();
  for (const [name, [type, handler]] of Object.entries(HANDLERS)) server.register(SERVICE + name, handler, same, same, type);
  server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (failed) => assert.ifError(failed));
}

// -- the client ------------------------------------------------------------------------------------------------------

function run(port) {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const within = () => ({ deadline: Date.now() + 60000 });
  const unary = (path, request, metadata) =>
    new Promise((done) => {
      const got = { call: null };
      got.call = client.makeUnaryRequest(path, same, same, request, metadata || new grpc.Metadata(), within(), (failed, value) =>
        Object.assign(got, { failed, value }),
      );
      got.call.on("metadata", (head) => (got.head = head));
      got.call.on("status", (status) => done(Object.assign(got, { status })));
    });
  /** Return what came, and the status, of a call that `begin` makes and `feed` feeds. */
  const streamed = (call, onData) =>
    new Promise((done) => {
      const got = { sizes: [], head: null };
      call.on("metadata", (head) => (got.head = head));
      call.on("data", (message) => (got.sizes.push(sizeOf(message)), onData && onData(got.sizes.length)));
      call.on("error", () => undefined);
      call.on("status", (status) => done(Object.assign(got, { status })));
    });
  const bidi = (metadata, options) =>
    client.makeBidiStreamRequest(SERVICE + "FullDuplexCall", same, same, metadata || new grpc.Metadata(), options || within());
  const output = (request) => client.makeServerStreamRequest(SERVICE + "StreamingOutputCall", same, same, request, within());
  const large = Buffer.concat([number(2, 314159), payload(3, 271828)]);
  const sending = () => {
    const metadata = new grpc.Metadata();
    metadata.add(INITIAL, "test_initial_metadata_value");
    metadata.add(TRAILING, Buffer.from([0xab, 0xab, 0xab]));
    return metadata;
  };
  const echoed = (got) => {
    assert.deepStrictEqual(got.head.get(INITIAL), ["test_initial_metadata_value"]);
    assert.deepStrictEqual(got.status.metadata.get(TRAILING), [Buffer.from([0xab, 0xab, 0xab])]);
  };
  const failing = (message) => text(7, Buffer.concat([number(1, 2), text(2, Buffer.from(message))]));

  return {
    empty_unary: async () => assert.strictEqual((await unary(SERVICE + "EmptyCall", nothing)).value.length, 0),
    large_unary: async () => assert.strictEqual(sizeOf((await unary(SERVICE + "UnaryCall", large)).value), 314159),
    client_streaming: () =>
      new Promise((done, fail) => {
        const call = client.makeClientStreamRequest(SERVICE + "StreamingInputCall", same, same, new grpc.Metadata(), within(), (failed, value) =>
          failed || first(value, 1) !== 74922 ? fail(failed || new Error("another sum")) : done(),
        );
        for (const size of [27182, 8, 1828, 45904]) call.write(payload(1, size));
        call.end();
      }),
    server_streaming: async () => {
      const sizes = [31415, 9, 2653, 58979];
      const got = await streamed(output(Buffer.concat(sizes.map((size) => text(2, number(1, size))))));
      assert.deepStrictEqual(got.sizes, sizes);
    },
    ping_pong: async () => {
      const sizes = [[31415, 27182], [9, 8], [2653, 1828], [58979, 45904]];
      const call = bidi();
      const feed = (count) => (count < sizes.length ? call.write(asking(...sizes[count])) : call.end());
      const over = streamed(call, feed);
      feed(0);
      assert.deepStrictEqual((await over).sizes, sizes.map(([size]) => size));
    },
    empty_stream: async () => {
      const call = bidi();
      call.end();
      assert.deepStrictEqual((await streamed(call)).sizes, []);
    },
    custom_metadata: async () => {
      echoed(await unary(SERVICE + "UnaryCall", large, sending()));
      const call = bidi(sending());
      call.end(asking(314159, 271828));
      echoed(await streamed(call));
    },
    status_code_and_message: async () => {
      const { status } = await unary(SERVICE + "UnaryCall", failing("test status message"));
      assert.deepStrictEqual([status.code, status.details], [2, "test status message"]);
      const call = bidi();
      call.end(failing("test status message"));
      const ended = (await streamed(call)).status;
      assert.deepStrictEqual([ended.code, ended.details], [2, "test status message"]);
    },
    unimplemented_method: async () => assert.strictEqual((await unary(SERVICE + "UnimplementedCall", nothing)).status.code, 12),
    unimplemented_service: async () =>
      assert.strictEqual((await unary("/grpc.testing.UnimplementedService/UnimplementedCall", nothing)).status.code, 12),
    cancel_after_begin: async () => {
      const call = client.makeClientStreamRequest(SERVICE + "StreamingInputCall", same, same, new grpc.Metadata(), within(), () => undefined);
      const over = new Promise((done) => call.on("status", done));
      call.cancel();
      assert.strictEqual((await over).code, 1);
    },
    cancel_after_first_response: async () => {
      const call = output(Buffer.concat([text(2, number(1, 31415)), text(2, Buffer.concat([number(1, 9), number(2, 60000000)]))]));
      assert.strictEqual((await streamed(call, () => call.cancel())).status.code, 1);
    },
    timeout_on_sleeping_server: async () => {
      const call = bidi(undefined, { deadline: Date.now() + 1 });
      call.write(asking(31415, 27182, 1000000));
      assert.strictEqual((await streamed(call)).status.code, 4);
    },
  };
}

async function main(role, port) {
  if (role === "server") return serve(port);
  for (const [name, test] of Object.entries(run(port))) {
    await test();
    console.log(name);
  }
  process.exit(0);
}

main(process.argv[2], process.argv[3]).catch((failed) => {
  console.error(failed);
  process.exit(1);
});
