// SPDX-License-Identifier: MIT
using System;
using System.IO;
using System.Net.Sockets;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace Guestwire
{
    /// <summary>What the guest said no with.</summary>
    public sealed class GuestException : Exception
    {
        public GuestException(int code, string message) : base(message)
        {
            Code = code;
        }

        public int Code { get; private set; }
    }

    /// <summary>
    /// Calls guestwired: JSON-RPC 2.0, a line for each message, one call at a time. The guest is
    /// not trusted: an answer has a limit, and what answers no call of ours is passed over.
    /// </summary>
    public sealed class GuestwireClient : IDisposable
    {
        private const int AnswerMax = 64 * 1024 * 1024;
        private const int ConnectMilliseconds = 10000;
        private const int AnswerMilliseconds = 30000;
        private static readonly UTF8Encoding Utf8 = new UTF8Encoding(false, true);

        private readonly Stream stream;
        private readonly byte[] buffer = new byte[65536];
        private int begin, end;
        private long lastId;

        /// <summary>Over any stream, which this closes in the end.</summary>
        public GuestwireClient(Stream stream)
        {
            this.stream = stream;
        }

        /// <summary>To a port of a guest of this Hyper-V host.</summary>
        public static GuestwireClient Connect(Guid vmId, uint port)
        {
            Socket socket = new Socket(HyperVEndPoint.Family, SocketType.Stream, HyperVEndPoint.Raw);
            try
            {
                SocketOptionLevel level = (SocketOptionLevel)HyperVEndPoint.Raw;
                socket.SetSocketOption(level, HyperVEndPoint.ConnectTimeout, ConnectMilliseconds);
                // A paused or saved guest goes on with the call when it is resumed.
                socket.SetSocketOption(level, HyperVEndPoint.ConnectedSuspend, 1);
                socket.Connect(new HyperVEndPoint(vmId, port));
                NetworkStream stream = new NetworkStream(socket, true);
                stream.ReadTimeout = AnswerMilliseconds;
                return new GuestwireClient(stream);
            }
            catch
            {
                socket.Close();
                throw;
            }
        }

        /// <summary>
        /// One call. parameters: a JSON object, or null for none. The whole answer as it came, which
        /// has a member `result`; a GuestException where it has an `error`.
        /// </summary>
        public string Call(string method, string parameters)
        {
            long id = ++lastId;
            byte[] request = Utf8.GetBytes(
                "{\"jsonrpc\":\"2.0\",\"id\":" + id + ",\"method\":" + Quote(method) +
                (parameters == null ? "" : ",\"params\":" + parameters.Replace("\n", " ")) + "}\n");
            stream.Write(request, 0, request.Length);
            stream.Flush();
            for (;;)
            {
                byte[] line = ReadLine();
                XElement answer = Parse(line);
                XElement error = answer.Element("error");
                XElement answered = answer.Element("id");
                // An error without an id answers whatever was asked: it could not be read.
                if (answered == null || (answered.Value != id.ToString() &&
                                         !(error != null && answered.Value.Length == 0)))
                    continue;
                if (error != null)
                    throw new GuestException((int)error.Element("code"), (string)error.Element("message"));
                return Utf8.GetString(line);
            }
        }

        public void Dispose()
        {
            stream.Dispose();
        }

        private static XElement Parse(byte[] json)
        {
            using (XmlDictionaryReader reader = JsonReaderWriterFactory.CreateJsonReader(
                       json, XmlDictionaryReaderQuotas.Max))
                return XElement.Load(reader);
        }

        private byte[] ReadLine()
        {
            MemoryStream line = new MemoryStream();
            for (;;)
            {
                int newline = Array.IndexOf(buffer, (byte)'\n', begin, end - begin);
                int piece = (newline < 0 ? end : newline) - begin;
                if (line.Length + piece > AnswerMax)
                    throw new IOException("the answer is larger than " + AnswerMax + " bytes");
                line.Write(buffer, begin, piece);
                if (newline >= 0)
                {
                    begin = newline + 1;
                    return line.ToArray();
                }
                begin = 0;
                end = stream.Read(buffer, 0, buffer.Length);
                if (end <= 0)
                    throw new EndOfStreamException("the guest closed the connection");
            }
        }

        private static string Quote(string text)
        {
            StringBuilder quoted = new StringBuilder("\"");
            foreach (char c in text)
            {
                if (c == '"' || c == '\\')
                    quoted.Append('\\').Append(c);
                else if (c < ' ')
                    quoted.Append("\\u").Append(((int)c).ToString("x4"));
                else
                    quoted.Append(c);
            }
            return quoted.Append('"').ToString();
        }
    }
}
