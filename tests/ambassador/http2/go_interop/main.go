// The interop tests of gRPC (grpc: doc/interop-test-descriptions.md) with grpc-go, as server and as client:
//
//	go_interop server PORT
//	go_interop client PORT
//
// Debian's sources of grpc-go have no generated messages of these tests, so the messages are bytes here.
// The server has grpc-go's own reflection and health services, too. A call of sidecars.Test/SetHealth with the text of a
// state ("SERVING") changes what its health service says.
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/golang/protobuf/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
)

const (
	service  = "/grpc.testing.TestService/"
	initial  = "x-grpc-test-echo-initial"
	trailing = "x-grpc-test-echo-trailing-bin"
)

// rawCodec passes messages that are bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v interface{}) ([]byte, error) {
	if message, ok := v.(proto.Message); ok {
		return proto.Marshal(message)
	}
	return *v.(*[]byte), nil
}
func (rawCodec) Unmarshal(data []byte, v interface{}) error {
	if message, ok := v.(proto.Message); ok {
		return proto.Unmarshal(data, message)
	}
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (rawCodec) Name() string { return "proto" }

// -- messages --------------------------------------------------------------------------------------------------------

func number(field, value uint64) []byte {
	out := binary.AppendUvarint(nil, field<<3)
	return binary.AppendUvarint(out, value)
}

func text(field uint64, value []byte) []byte {
	out := binary.AppendUvarint(nil, field<<3|2)
	out = binary.AppendUvarint(out, uint64(len(value)))
	return append(out, value...)
}

func payload(field uint64, size int) []byte { return text(field, text(2, make([]byte, size))) }

// fields calls f for each field of a message; inner is nil if it is a number.
func fields(message []byte, f func(field, value uint64, inner []byte)) {
	for len(message) > 0 {
		key, n := binary.Uvarint(message)
		message = message[n:]
		value, n := binary.Uvarint(message)
		message = message[n:]
		var inner []byte
		if key&7 == 2 {
			inner, message = message[:value], message[value:]
			inner = append([]byte{}, inner...)
		}
		f(key>>3, value, inner)
	}
}

func child(message []byte, wanted uint64) (out []byte) {
	fields(message, func(field, _ uint64, inner []byte) {
		if field == wanted {
			out = inner
		}
	})
	return
}

func value(message []byte, wanted uint64) (out uint64) {
	fields(message, func(field, value uint64, inner []byte) {
		if field == wanted && inner == nil {
			out = value
		}
	})
	return
}

func bodySize(response []byte) int { return len(child(child(response, 1), 2)) }

// -- the server ------------------------------------------------------------------------------------------------------

var healthServer = health.NewServer()

func handle(_ interface{}, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	sent, _ := metadata.FromIncomingContext(stream.Context())
	if values := sent.Get(initial); len(values) > 0 {
		stream.SetHeader(metadata.Pairs(initial, values[0]))
	}
	if values := sent.Get(trailing); len(values) > 0 {
		stream.SetTrailer(metadata.Pairs(trailing, values[0]))
	}
	total := 0
	for {
		var request []byte
		err := stream.RecvMsg(&request)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		switch method {
		case service + "EmptyCall":
			err = stream.SendMsg(&[]byte{})
		case service + "UnaryCall":
			if asked := child(request, 7); asked != nil {
				return status.Error(codes.Code(value(asked, 1)), string(child(asked, 2)))
			}
			response := payload(1, int(value(request, 2)))
			err = stream.SendMsg(&response)
		case service + "StreamingInputCall":
			total += len(child(child(request, 1), 2))
		case service + "StreamingOutputCall", service + "FullDuplexCall":
			err = respond(stream, request)
		case "/sidecars.Test/SetHealth":
			state := grpc_health_v1.HealthCheckResponse_ServingStatus_value[string(request)]
			healthServer.SetServingStatus("", grpc_health_v1.HealthCheckResponse_ServingStatus(state))
			err = stream.SendMsg(&[]byte{})
		default:
			return status.Error(codes.Unimplemented, "unknown method "+method)
		}
		if err != nil {
			return err
		}
	}
	if method == service+"StreamingInputCall" {
		response := number(1, uint64(total))
		return stream.SendMsg(&response)
	}
	return nil
}

func respond(stream grpc.ServerStream, request []byte) (err error) {
	if asked := child(request, 7); asked != nil {
		return status.Error(codes.Code(value(asked, 1)), string(child(asked, 2)))
	}
	fields(request, func(field, _ uint64, inner []byte) {
		if field == 2 && err == nil {
			time.Sleep(time.Duration(value(inner, 2)) * time.Microsecond)
			response := payload(1, int(value(inner, 1)))
			err = stream.SendMsg(&response)
		}
	})
	return
}

// -- the client ------------------------------------------------------------------------------------------------------

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(err error, code codes.Code) {
	if status.Code(err) != code {
		panic(fmt.Sprintf("the status is %v, not %v: %v", status.Code(err), code, err))
	}
}

func same(got, wanted interface{}) {
	if got != wanted {
		panic(fmt.Sprintf("%v, not %v", got, wanted))
	}
}

func unary(c *grpc.ClientConn, method string, request []byte, options ...grpc.CallOption) ([]byte, error) {
	var response []byte
	ctx := metadata.AppendToOutgoingContext(context.Background(), initial, "test_initial_metadata_value", trailing, "\xab\xab\xab")
	err := c.Invoke(ctx, method, &request, &response, options...)
	return response, err
}

func stream(c *grpc.ClientConn, ctx context.Context, method string) grpc.ClientStream {
	made, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, service+method)
	must(err)
	return made
}

func asking(size, body int) []byte { return append(text(2, number(1, uint64(size))), payload(3, body)...) }

func drain(s grpc.ClientStream) (sizes []int, err error) {
	for {
		var response []byte
		if err = s.RecvMsg(&response); err != nil {
			return
		}
		sizes = append(sizes, bodySize(response))
	}
}

var cases = []struct {
	name string
	run  func(c *grpc.ClientConn)
}{
	{"empty_unary", func(c *grpc.ClientConn) {
		_, err := unary(c, service+"EmptyCall", nil)
		must(err)
	}},
	{"large_unary", func(c *grpc.ClientConn) {
		response, err := unary(c, service+"UnaryCall", append(number(2, 314159), payload(3, 271828)...))
		must(err)
		same(bodySize(response), 314159)
	}},
	{"client_compressed_unary", func(c *grpc.ClientConn) {
		request := append(number(2, 314159), payload(3, 271828)...)
		response, err := unary(c, service+"UnaryCall", request, grpc.UseCompressor("gzip"))
		must(err)
		same(bodySize(response), 314159)
	}},
	{"custom_metadata", func(c *grpc.ClientConn) {
		var head, tail metadata.MD
		_, err := unary(c, service+"UnaryCall", append(number(2, 314159), payload(3, 271828)...), grpc.Header(&head), grpc.Trailer(&tail))
		must(err)
		same(head.Get(initial)[0], "test_initial_metadata_value")
		same(tail.Get(trailing)[0], "\xab\xab\xab")
	}},
	{"client_streaming", func(c *grpc.ClientConn) {
		s := stream(c, context.Background(), "StreamingInputCall")
		for _, size := range []int{27182, 8, 1828, 45904} {
			request := payload(1, size)
			must(s.SendMsg(&request))
		}
		must(s.CloseSend())
		var response []byte
		must(s.RecvMsg(&response))
		same(value(response, 1), uint64(74922))
	}},
	{"server_streaming", func(c *grpc.ClientConn) {
		s := stream(c, context.Background(), "StreamingOutputCall")
		var request []byte
		for _, size := range []uint64{31415, 9, 2653, 58979} {
			request = append(request, text(2, number(1, size))...)
		}
		must(s.SendMsg(&request))
		must(s.CloseSend())
		sizes, err := drain(s)
		same(err, io.EOF)
		same(fmt.Sprint(sizes), "[31415 9 2653 58979]")
	}},
	{"ping_pong", func(c *grpc.ClientConn) {
		s := stream(c, context.Background(), "FullDuplexCall")
		for _, pair := range [][2]int{{31415, 27182}, {9, 8}, {2653, 1828}, {58979, 45904}} {
			request := asking(pair[0], pair[1])
			must(s.SendMsg(&request))
			var response []byte
			must(s.RecvMsg(&response))
			same(bodySize(response), pair[0])
		}
		must(s.CloseSend())
		_, err := drain(s)
		same(err, io.EOF)
	}},
	{"empty_stream", func(c *grpc.ClientConn) {
		s := stream(c, context.Background(), "FullDuplexCall")
		must(s.CloseSend())
		_, err := drain(s)
		same(err, io.EOF)
	}},
	{"status_code_and_message", func(c *grpc.ClientConn) {
		asked := text(7, append(number(1, 2), text(2, []byte("test status message"))...))
		_, err := unary(c, service+"UnaryCall", asked)
		expect(err, codes.Unknown)
		same(status.Convert(err).Message(), "test status message")
		s := stream(c, context.Background(), "FullDuplexCall")
		must(s.SendMsg(&asked))
		must(s.CloseSend())
		_, err = drain(s)
		expect(err, codes.Unknown)
		same(status.Convert(err).Message(), "test status message")
	}},
	{"unimplemented_method", func(c *grpc.ClientConn) {
		_, err := unary(c, service+"UnimplementedCall", nil)
		expect(err, codes.Unimplemented)
	}},
	{"unimplemented_service", func(c *grpc.ClientConn) {
		_, err := unary(c, "/grpc.testing.UnimplementedService/UnimplementedCall", nil)
		expect(err, codes.Unimplemented)
	}},
	{"cancel_after_begin", func(c *grpc.ClientConn) {
		ctx, cancel := context.WithCancel(context.Background())
		s := stream(c, ctx, "StreamingInputCall")
		cancel()
		_, err := drain(s)
		expect(err, codes.Canceled)
	}},
	{"cancel_after_first_response", func(c *grpc.ClientConn) {
		ctx, cancel := context.WithCancel(context.Background())
		s := stream(c, ctx, "FullDuplexCall")
		request := asking(31415, 27182)
		must(s.SendMsg(&request))
		var response []byte
		must(s.RecvMsg(&response))
		cancel()
		_, err := drain(s)
		expect(err, codes.Canceled)
	}},
	{"timeout_on_sleeping_server", func(c *grpc.ClientConn) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, service+"FullDuplexCall")
		if err == nil {
			request := append(text(2, append(number(1, 31415), number(2, 1000000)...)), payload(3, 27182)...)
			_ = s.SendMsg(&request)
			_, err = drain(s)
		}
		expect(err, codes.DeadlineExceeded)
	}},
}

func main() {
	encoding.RegisterCodec(rawCodec{})
	address := "127.0.0.1:" + os.Args[2]
	if os.Args[1] == "server" {
		listener, err := net.Listen("tcp", address)
		must(err)
		server := grpc.NewServer(grpc.UnknownServiceHandler(handle))
		grpc_health_v1.RegisterHealthServer(server, healthServer)
		reflection.Register(server)
		must(server.Serve(listener))
	}
	connection, err := grpc.Dial(address, grpc.WithInsecure(), grpc.WithBlock(), grpc.WithTimeout(time.Minute))
	must(err)
	for _, each := range cases {
		each.run(connection)
		fmt.Println(each.name)
	}
}
