using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;

namespace Kampanje.Client
{
    /// <summary>
    /// The body of a response. Its end before the announced length is an exception, which not all
    /// platforms throw by themselves.
    /// </summary>
    internal sealed class WholeStream : Stream
    {
        private readonly Stream inner;
        private readonly long? length;
        private long position;

        internal WholeStream(Stream inner, long? length)
        {
            this.inner = inner;
            this.length = length;
        }

        public override bool CanRead
        {
            get { return true; }
        }

        public override bool CanSeek
        {
            get { return false; }
        }

        public override bool CanWrite
        {
            get { return false; }
        }

        public override long Length
        {
            get { throw new NotSupportedException(); }
        }

        public override long Position
        {
            get { return position; }
            set { throw new NotSupportedException(); }
        }

        public override int Read(byte[] buffer, int offset, int count)
        {
            return Check(inner.Read(buffer, offset, count), count);
        }

        public override async Task<int> ReadAsync(
            byte[] buffer, int offset, int count, CancellationToken cancellation)
        {
            var read = await inner.ReadAsync(buffer, offset, count, cancellation)
                .ConfigureAwait(false);
            return Check(read, count);
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin)
        {
            throw new NotSupportedException();
        }

        public override void SetLength(long value)
        {
            throw new NotSupportedException();
        }

        public override void Write(byte[] buffer, int offset, int count)
        {
            throw new NotSupportedException();
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                inner.Dispose();
            }

            base.Dispose(disposing);
        }

        private int Check(int read, int count)
        {
            position += read;
            if (read == 0 && count > 0 && length.HasValue && position < length.Value)
            {
                throw new EndOfStreamException("the response is not complete");
            }

            return read;
        }
    }
}
