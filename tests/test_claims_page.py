from senformer import claims_page, published


def test_a_claim_is_a_row():
    claim = published.claim("memory.crossover_bp")
    texts = [node.astext() for node in claims_page._row(claim, {"measured": 2.0, "agrees": "no"})]
    assert texts == [claim.statement, "300,000 bp", "2 bp", "no"]
